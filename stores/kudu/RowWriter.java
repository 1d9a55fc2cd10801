package org.apache.kudu.client;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.Iterator;
import java.util.List;
import org.apache.kudu.Type;

/**
 * Inserts, updates, upserts or deletes whole batches: the loop over cells runs here, because a call from Python to Java for each
 * cell costs more than everything else together.
 *
 * Compiled by Janino, which knows no type inference for generics: hence the casts.
 */
public final class RowWriter {
  private final KuduSession session;
  private final Filler filler;
  private final List staged = new ArrayList();

  /** Sets the cells of rows. `DirectRows` is a faster one than `fill` below. */
  public interface Filler {
    /**
     * @param rows new rows of one table, in order
     * @param columns for each packed column, its position in the table
     * @param layout three numbers a column: where its values, its offsets and its validity bitmap start; -1 = none, and
     *     a column without values is null in every row
     * @param cells Arrow buffers, one after another
     */
    void fill(PartialRow[] rows, int[] columns, int[] layout, byte[] cells);
  }

  /** Without a filler, cells are set one by one, as Kudu's documentation shows. */
  public RowWriter(KuduClient client, long timeoutMillis, int maxRows, Filler filler) {
    this.filler = filler;
    session = client.newSession();
    session.setFlushMode(SessionConfiguration.FlushMode.MANUAL_FLUSH);
    session.setMutationBufferSpace(maxRows);
    session.setTimeoutMillis(timeoutMillis);
  }

  /**
   * Stages rows for the next flush.
   *
   * The cells are a copy of Python's: memory that Java borrowed from Python would be released by a Java thread, at any
   * time, even while Python is ending, and that ends in a crash.
   *
   * @param change "insert", "update", "upsert" or "delete"; a row to be deleted has its key alone
   */
  public void stage(KuduTable table, int[] columns, int[] layout, byte[] cells, int rows, String change)
      throws KuduException {
    Operation[] operations = filled(table, columns, layout, cells, rows, change);
    for (int row = 0; row < rows; row++) {
      staged.add(operations[row]);
      session.apply(operations[row]);
    }
  }

  /** Fills rows that nobody sends: afterwards the JVM knows and has compiled what `stage` does. */
  public void rehearse(KuduTable table, int[] columns, int[] layout, byte[] cells, int rows) {
    filled(table, columns, layout, cells, rows, "insert");
  }

  private Operation[] filled(
      KuduTable table, int[] columns, int[] layout, byte[] cells, int rows, String change) {
    Operation[] operations = new Operation[rows];
    PartialRow[] targets = new PartialRow[rows];
    for (int row = 0; row < rows; row++) {
      operations[row] = operation(table, change);
      targets[row] = operations[row].getRow();
    }
    if (filler != null) {
      filler.fill(targets, columns, layout, cells);
    } else {
      fill(targets, columns, layout, cells);
    }
    return operations;
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

  private static Operation operation(KuduTable table, String change) {
    if (change.equals("insert")) {
      return table.newInsert();
    }
    if (change.equals("update")) {
      return table.newUpdate();
    }
    return change.equals("delete") ? (Operation) table.newDelete() : table.newUpsert();
  }

  /** Sets cells by the methods that Kudu's client offers. */
  public static void fill(PartialRow[] rows, int[] columns, int[] layout, byte[] cells) {
    if (rows.length == 0) {
      return;
    }
    ByteBuffer packed = ByteBuffer.wrap(cells).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < columns.length; i++) {
      Type type = rows[0].getSchema().getColumnByIndex(columns[i]).getType();
      int values = layout[3 * i];
      int validity = layout[3 * i + 2];
      for (int row = 0; row < rows.length; row++) {
        if (values < 0 || validity >= 0 && !bit(packed, validity, row)) {
          rows[row].setNull(columns[i]);
        } else {
          set(rows[row], columns[i], type, packed, values, layout[3 * i + 1], row);
        }
      }
    }
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
    System.arraycopy(cells.array(), values + start, cell, 0, cell.length);
    return cell;
  }

  private static boolean bit(ByteBuffer cells, int bitmap, int row) {
    return (cells.get(bitmap + (row >> 3)) >> (row & 7) & 1) == 1;
  }
}
