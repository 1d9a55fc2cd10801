"""What an image's file says beside its pixels: EXIF, XMP, IPTC, its colour profile, its kind of pixels."""
