package org.apache.kudu.client;

import com.stumbleupon.async.Deferred;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.apache.kudu.ColumnSchema;
import org.apache.kudu.Schema;
import org.apache.kudu.Type;

/**
 * Reads a scanner batch by batch into Arrow buffers, packed one after another: the mirror of RowWriter.
 *
 * After next() returned true, rows(), packed() and layout() hold until the following call of next(). A reader that
 * find() returns holds the rows that it found from the beginning, and has no next ones.
 */
public final class ScanReader {
  private static final int LOOKED_UP_AT_ONCE = 32;

  /** A tablet server drops a scan that is not read on with for --scanner_ttl_ms, a minute if it is not told otherwise. */
  private static final int KEEP_ALIVE_MS = 10000;

  private final KuduScanner scanner;
  private boolean keptAlive;
  private int rows;
  private ByteBuffer packed = ByteBuffer.allocateDirect(0);
  private int[] layout;

  private ScanReader() {
    scanner = null;
  }

  public ScanReader(KuduScanner scanner) {
    this.scanner = scanner;
    scanner.setReuseRowResult(true);
  }

  /** Looks rows up by their keys, one or more, each for itself, so that it takes as long in a large table as in a small one. */
  public static ScanReader find(KuduTable table, List columns, List keys) throws Exception {
    List found = new ArrayList();
    Schema projection = null;
    ArrayDeque waiting = new ArrayDeque();
    for (Iterator each = keys.iterator(); each.hasNext() || !waiting.isEmpty();) {
      while (each.hasNext() && waiting.size() < LOOKED_UP_AT_ONCE) {
        waiting.add(new Lookup(table, columns, (String) each.next()));
      }
      Lookup lookup = (Lookup) waiting.remove();
      lookup.collect(found);
      projection = lookup.scanner.getProjectionSchema();
    }
    ScanReader reader = new ScanReader();
    reader.rows = found.size();
    reader.pack(reader.read(found.iterator(), projection));
    return reader;
  }

  /** One row's way from the server. */
  private static final class Lookup {
    final AsyncKuduScanner scanner;
    private Deferred answer;

    Lookup(KuduTable table, List columns, String key) {
      ColumnSchema column = table.getSchema().getColumnByIndex(0);
      scanner =
          ((AsyncKuduScanner.AsyncKuduScannerBuilder)
                  ((AsyncKuduScanner.AsyncKuduScannerBuilder)
                          table.getAsyncClient().newScannerBuilder(table).setProjectedColumnNames(columns))
                      .addPredicate(
                          KuduPredicate.newComparisonPredicate(column, KuduPredicate.ComparisonOp.EQUAL, key)))
              .build();
      answer = scanner.nextRows();
    }

    void collect(List found) throws Exception {
      while (true) {
        for (Iterator each = (Iterator) answer.join(); each != null && each.hasNext();) {
          found.add(each.next());
        }
        if (!scanner.hasMoreRows()) {
          return;
        }
        answer = scanner.nextRows();
      }
    }
  }

  /** Reads on to the next rows; false at the end of the scan. */
  public boolean next() throws KuduException {
    while (scanner != null && scanner.hasMoreRows()) {
      RowResultIterator batch = scanner.nextRows();
      if (batch != null && batch.getNumRows() > 0) {
        rows = batch.getNumRows();
        pack(read(batch, scanner.getProjectionSchema()));
        keptAlive = keptAlive || (scanner.hasMoreRows() && scanner.startKeepAlivePeriodically(KEEP_ALIVE_MS));
        return true;
      }
    }
    stopKeepingAlive();
    return false;
  }

  public int rows() {
    return rows;
  }

  public ByteBuffer packed() {
    return packed;
  }

  /** Four numbers a column: where its values, its offsets and its validity bitmap start, and how long its values are. */
  public int[] layout() {
    return layout;
  }

  public void close() throws KuduException {
    if (scanner != null) {
      stopKeepingAlive();
      scanner.close();
    }
  }

  private void stopKeepingAlive() {
    if (keptAlive) {
      keptAlive = false;
      scanner.stopKeepAlivePeriodically();
    }
  }

  private Cells[] read(Iterator results, Schema schema) {
    Cells[] columns = new Cells[schema.getColumnCount()];
    for (int i = 0; i < columns.length; i++) {
      columns[i] = new Cells(schema.getColumnByIndex(i).getType(), rows);
    }
    for (int row = 0; row < rows; row++) {
      RowResult result = (RowResult) results.next();
      for (int i = 0; i < columns.length; i++) {
        columns[i].add(result, i, row);
      }
    }
    return columns;
  }

  private void pack(Cells[] columns) {
    int size = 0;
    for (int i = 0; i < columns.length; i++) {
      size += columns[i].size();
    }
    if (packed.capacity() < size) {
      packed = ByteBuffer.allocateDirect(size);
    }
    packed.clear();
    layout = new int[4 * columns.length];
    for (int i = 0; i < columns.length; i++) {
      columns[i].pack(packed, layout, 4 * i);
    }
    packed.flip();
  }

  /** The cells of one column of one batch, in Arrow's layout. */
  private static final class Cells {
    private final Type type;
    private final boolean variable;
    private final byte[] validity;
    private final ByteBuffer offsets;
    private ByteBuffer values;

    Cells(Type type, int rows) {
      this.type = type;
      this.variable = type == Type.STRING || type == Type.BINARY;
      this.validity = new byte[(rows + 7) / 8];
      this.offsets = little(variable ? 4 * (rows + 1) : 0);
      this.values = little(variable ? 64 * rows : type == Type.BOOL ? validity.length : width(type) * rows);
      if (variable) {
        offsets.putInt(0);
      }
    }

    void add(RowResult result, int column, int row) {
      if (!result.isNull(column)) {
        validity[row >> 3] |= (byte) (1 << (row & 7));
        put(result, column, row);
      }
      if (variable) {
        offsets.putInt(values.position());
      }
    }

    private void put(RowResult result, int column, int row) {
      if (variable) {
        // Also for a STRING: it is UTF-8 already, and decoding it here would only cost an encoding later.
        byte[] cell = result.getBinaryCopy(column);
        if (values.remaining() < cell.length) {
          int larger = Math.max(2 * values.capacity(), values.position() + cell.length);
          values = little(Arrays.copyOf(values.array(), larger), values.position());
        }
        values.put(cell);
      } else if (type == Type.INT32) {
        values.putInt(4 * row, result.getInt(column));
      } else if (type == Type.INT64 || type == Type.UNIXTIME_MICROS) {
        values.putLong(8 * row, result.getLong(column));
      } else if (type == Type.FLOAT) {
        values.putFloat(4 * row, result.getFloat(column));
      } else if (type == Type.DOUBLE) {
        values.putDouble(8 * row, result.getDouble(column));
      } else if (type == Type.BOOL && result.getBoolean(column)) {
        values.array()[row >> 3] |= (byte) (1 << (row & 7));
      }
    }

    int size() {
      return validity.length + offsets.capacity() + length() + 3 * 8;
    }

    void pack(ByteBuffer target, int[] layout, int at) {
      layout[at + 2] = append(target, validity, validity.length);
      layout[at + 1] = variable ? append(target, offsets.array(), offsets.capacity()) : -1;
      layout[at] = append(target, values.array(), length());
      layout[at + 3] = length();
    }

    private int length() {
      return variable ? values.position() : values.capacity();
    }

    /** Appends at the next multiple of eight, where Arrow wants numbers to start. */
    private static int append(ByteBuffer target, byte[] bytes, int length) {
      int start = (target.position() + 7) / 8 * 8;
      target.position(start);
      target.put(bytes, 0, length);
      return start;
    }

    private static int width(Type type) {
      if (type == Type.INT32 || type == Type.FLOAT) {
        return 4;
      }
      if (type == Type.INT64 || type == Type.UNIXTIME_MICROS || type == Type.DOUBLE) {
        return 8;
      }
      throw new IllegalArgumentException("no way to read a column of type " + type);
    }

    private static ByteBuffer little(int capacity) {
      return ByteBuffer.allocate(capacity).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static ByteBuffer little(byte[] bytes, int position) {
      ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
      buffer.position(position);
      return buffer;
    }
  }
}
