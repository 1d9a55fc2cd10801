package org.apache.kudu.client;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import org.apache.kudu.ColumnSchema;
import org.apache.kudu.Schema;
import org.apache.kudu.Type;

/**
 * Sets cells where Kudu's client keeps them, column by column: its methods look up and check the column for every cell.
 *
 * These are internals of the client, which are not promised: hence `agrees`, which is asked before the first row.
 * A row keeps its numbers one after another in an array of bytes, little-endian, each text or binary as a buffer with
 * its mark at the start, and two sets of bits: the columns that are set, and those of them that are null.
 */
public final class DirectRows implements RowWriter.Filler {
  public void fill(PartialRow[] rows, int[] columns, int[] layout, byte[] cells) {
    if (rows.length == 0) {
      return;
    }
    Schema schema = rows[0].getSchema();
    byte[][] numbers = new byte[rows.length][];
    List[] texts = new List[rows.length];
    for (int row = 0; row < rows.length; row++) {
      numbers[row] = rows[row].getRowAlloc();
      texts[row] = rows[row].getVarLengthData();
    }
    ByteBuffer packed = ByteBuffer.wrap(cells).order(ByteOrder.LITTLE_ENDIAN);
    BitSet set = new BitSet(schema.getColumnCount());
    BitSet alwaysNull = new BitSet(schema.getColumnCount());
    for (int i = 0; i < columns.length; i++) {
      int column = columns[i];
      int values = layout[3 * i];
      int validity = layout[3 * i + 2];
      set.set(column);
      if (values < 0) {
        alwaysNull.set(column);
        continue;
      }
      if (validity >= 0) {
        addNulls(rows, column, cells, validity);
      }
      Type type = schema.getColumnByIndex(column).getType();
      if (type == Type.STRING || type == Type.BINARY) {
        addTexts(texts, column, packed, values, layout[3 * i + 1], validity);
      } else {
        addNumbers(numbers, schema.getColumnOffset(column), type, cells, values);
      }
    }
    for (int row = 0; row < rows.length; row++) {
      rows[row].getColumnsBitSet().or(set);
      if (!alwaysNull.isEmpty()) {
        rows[row].getNullsBitSet().or(alwaysNull);
      }
    }
  }

  /** Says whether rows are the same, field by field, as the client's own methods make them of the same cells. */
  public boolean agrees(Schema schema, int[] columns, int[] layout, byte[] cells, int count) {
    PartialRow[] direct = new PartialRow[count];
    PartialRow[] plain = new PartialRow[count];
    for (int row = 0; row < count; row++) {
      direct[row] = new PartialRow(schema);
      plain[row] = new PartialRow(schema);
    }
    fill(direct, columns, layout, cells);
    RowWriter.fill(plain, columns, layout, cells);
    for (int row = 0; row < count; row++) {
      if (!same(direct[row], plain[row])) {
        return false;
      }
    }
    return true;
  }

  private static boolean same(PartialRow one, PartialRow other) {
    if (!one.getColumnsBitSet().equals(other.getColumnsBitSet())
        || !one.getNullsBitSet().equals(other.getNullsBitSet())) {
      return false;
    }
    for (int column = 0; column < one.getSchema().getColumnCount(); column++) {
      boolean hasValue = one.getColumnsBitSet().get(column) && !one.getNullsBitSet().get(column);
      if (hasValue && !sameValue(one, other, column)) {
        return false;
      }
    }
    return true;
  }

  private static boolean sameValue(PartialRow one, PartialRow other, int column) {
    ColumnSchema kind = one.getSchema().getColumnByIndex(column);
    if (kind.getType() == Type.STRING || kind.getType() == Type.BINARY) {
      ByteBuffer mine = (ByteBuffer) one.getVarLengthData().get(column);
      ByteBuffer theirs = (ByteBuffer) other.getVarLengthData().get(column);
      return mine.reset().equals(theirs.reset());
    }
    int start = one.getSchema().getColumnOffset(column);
    int end = start + kind.getTypeSize();
    return Arrays.equals(one.getRowAlloc(), start, end, other.getRowAlloc(), start, end);
  }

  private static void addNulls(PartialRow[] rows, int column, byte[] cells, int validity) {
    for (int row = 0; row < rows.length; row++) {
      if (!bit(cells, validity, row)) {
        rows[row].getNullsBitSet().set(column);
      }
    }
  }

  private static void addTexts(
      List[] texts, int column, ByteBuffer packed, int values, int offsets, int validity) {
    int start = packed.getInt(offsets);
    for (int row = 0; row < texts.length; row++) {
      int end = packed.getInt(offsets + 4 * row + 4);
      if (validity < 0 || bit(packed.array(), validity, row)) {
        texts[row].set(column, packed.slice(values + start, end - start).mark());
      }
      start = end;
    }
  }

  /** Also where a row is null: Kudu reads no number that is null. */
  private static void addNumbers(byte[][] numbers, int at, Type type, byte[] cells, int values) {
    if (type == Type.BOOL) {
      for (int row = 0; row < numbers.length; row++) {
        numbers[row][at] = (byte) (bit(cells, values, row) ? 1 : 0);
      }
    } else if (type == Type.INT32 || type == Type.FLOAT) {
      for (int row = 0; row < numbers.length; row++) {
        byte[] target = numbers[row];
        int from = values + 4 * row;
        target[at] = cells[from];
        target[at + 1] = cells[from + 1];
        target[at + 2] = cells[from + 2];
        target[at + 3] = cells[from + 3];
      }
    } else if (type == Type.INT64 || type == Type.UNIXTIME_MICROS || type == Type.DOUBLE) {
      for (int row = 0; row < numbers.length; row++) {
        System.arraycopy(cells, values + 8 * row, numbers[row], at, 8);
      }
    } else {
      throw new IllegalArgumentException("no way to write a column of type " + type);
    }
  }

  private static boolean bit(byte[] cells, int bitmap, int row) {
    return (cells[bitmap + (row >> 3)] >> (row & 7) & 1) == 1;
  }
}
