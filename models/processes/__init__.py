"""Work in processes of its own: what meets hostile bytes, or may hang, or may take all memory."""
