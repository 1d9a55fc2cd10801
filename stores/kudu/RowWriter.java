package flumen;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.Iterator;
import java.util.List;
import org.apache.kudu.Type;
import org.apache.kudu.client.KuduClient;
import org.apache.kudu.client.KuduException;
import org.apache.kudu.client.KuduSession;
import org.apache.kudu.client.KuduTable;
import org.apache.kudu.client.Operation;
import org.apache.kudu.client.OperationResponse;
import org.apache.kudu.client.PartialRow;
import org.apache.kudu.client.SessionConfiguration;

/**
 * Upserts or deletes whole batches: the loop over cells runs here, because a call from Python to Java for each cell costs
 * more than everything else together.
 *
 * Compiled when the worker starts, by Janino, which knows no type inference for generics: hence the casts.
 */
public final class RowWriter {
  private final KuduSession session;
  private final List staged = new ArrayList();
  private ByteBuffer packed = ByteBuffer.allocateDirect(0);

  public RowWriter(KuduClient client, long timeoutMillis, int maxRows) {
    session = client.newSession();
    session.setFlushMode(SessionConfiguration.FlushMode.MANUAL_FLUSH);
    session.setMutationBufferSpace(maxRows);
    session.setTimeoutMillis(timeoutMillis);
  }

  /**
   * Returns a buffer of at least so many bytes, to be filled for the next call of stage().
   *
   * It is Java's own: a buffer that Java borrowed from Python would be released by a Java thread, at any time, even
   * while Python is ending, and that ends in a crash.
   */
  public ByteBuffer reserve(int size) {
    if (packed.capacity() < size) {
      packed = ByteBuffer.allocateDirect(Math.max(size, 2 * packed.capacity()));
    }
    return packed;
  }

  /**
   * Stages rows for the next flush. Their cells stand in the buffer of reserve(): Arrow buffers, one after another.
   *
   * @param columns for each packed column, its position in the table
   * @param layout three numbers a column: where its values, its offsets and its validity bitmap start; -1 = none
   */
  public void stage(KuduTable table, int[] columns, int[] layout, int rows, boolean delete)
      throws KuduException {
    ByteBuffer cells = packed.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    Type[] types = new Type[columns.length];
    for (int i = 0; i < columns.length; i++) {
      types[i] = table.getSchema().getColumnByIndex(columns[i]).getType();
    }
    for (int row = 0; row < rows; row++) {
      Operation operation = delete ? (Operation) table.newDelete() : table.newUpsert();
      PartialRow target = operation.getRow();
      for (int i = 0; i < columns.length; i++) {
        int validity = layout[3 * i + 2];
        if (validity >= 0 && !bit(cells, validity, row)) {
          target.setNull(columns[i]);
        } else {
          set(target, columns[i], types[i], cells, layout[3 * i], layout[3 * i + 1], row);
        }
      }
      staged.add(operation);
      session.apply(operation);
    }
  }

  /** Sends what is staged. Returns null where all is stored, else the server's answer for each row (null = stored). */
  public String[] flush() throws KuduException {
    IdentityHashMap errors = new IdentityHashMap();
    for (Iterator each = session.flush().iterator(); each.hasNext();) {
      OperationResponse response = (OperationResponse) each.next();
      if (response.hasRowError()) {
        errors.put(response.getRowError().getOperation(), response.getRowError().getErrorStatus().toString());
      }
    }
    String[] answers = errors.isEmpty() ? null : new String[staged.size()];
    for (int row = 0; answers != null && row < answers.length; row++) {
      answers[row] = (String) errors.get(staged.get(row));
    }
    staged.clear();
    return answers;
  }

  public void close() throws KuduException {
    session.close();
  }

  private static void set(
      PartialRow target, int column, Type type, ByteBuffer cells, int values, int offsets, int row) {
    if (type == Type.STRING) {
      target.addStringUtf8(column, bytes(cells, values, offsets, row));
    } else if (type == Type.BINARY) {
      target.addBinary(column, bytes(cells, values, offsets, row));
    } else if (type == Type.INT32) {
      target.addInt(column, cells.getInt(values + 4 * row));
    } else if (type == Type.INT64 || type == Type.UNIXTIME_MICROS) {
      target.addLong(column, cells.getLong(values + 8 * row));
    } else if (type == Type.FLOAT) {
      target.addFloat(column, cells.getFloat(values + 4 * row));
    } else if (type == Type.DOUBLE) {
      target.addDouble(column, cells.getDouble(values + 8 * row));
    } else if (type == Type.BOOL) {
      target.addBoolean(column, bit(cells, values, row));
    } else {
      throw new IllegalArgumentException("no way to write a column of type " + type);
    }
  }

  private static byte[] bytes(ByteBuffer cells, int values, int offsets, int row) {
    int start = cells.getInt(offsets + 4 * row);
    byte[] cell = new byte[cells.getInt(offsets + 4 * row + 4) - start];
    cells.get(values + start, cell);
    return cell;
  }

  private static boolean bit(ByteBuffer cells, int bitmap, int row) {
    return (cells.get(bitmap + (row >> 3)) >> (row & 7) & 1) == 1;
  }
}
