"""The errors of the interceptor.

InterceptorError
├── ColumnConflict        two interceptors declare the same column
├── UnknownInterceptor    a name in the settings that no package registers
└── Unclassifiable        one image that cannot be classified; becomes a `Reject`
    ├── EmptyImage        no bytes at all
    ├── ImageTooLarge     more bytes than `max_image_bytes`
    ├── ImageTooManyPixels  more pixels in the header than `max_image_pixels`
    ├── ImageTooManyFrames  more frames or pages than `max_image_frames`
    ├── FormatNotAllowed  a format that is not in the allow-list
    ├── NotAnImage        bytes that no allowed decoder knows
    ├── UnsupportedImage  of a format that is allowed, in a variant that no decoder here reads
    ├── BrokenImage       starts as an image, and cannot be decoded to its end
    ├── DecodeTooLarge    decoding it takes more memory than `max_decode_memory_bytes`
    ├── DecodeTooLong     decoding it takes more time than `max_decode_time_s`
    ├── DecoderDied       it ends the process that decodes it
    ├── BadAnswer         the model gives no answer to it, or none that is a distribution
    └── BadEnvelope       the message around the image is malformed (id, headers)

Caught within the package, and never seen outside it:

Exception
└── Unreadable            a value or a block of metadata that cannot be read; it is listed, and the image stored
"""


class InterceptorError(Exception):
    """Base of all errors of this package."""


class ColumnConflict(InterceptorError):
    """Two interceptors declare the same column."""


class UnknownInterceptor(InterceptorError):
    """A name in the settings that no installed package registers."""


class Unclassifiable(InterceptorError):
    """One image that cannot be classified. Its message is what stands in the dead-letter topic.

    `cause` is what a library said to it, in its own words: for whoever looks for the cause. Empty if none did.
    """

    cause: str = ""


class EmptyImage(Unclassifiable):
    """The message has no bytes."""


class ImageTooLarge(Unclassifiable):
    """The image has more bytes than allowed."""


class ImageTooManyPixels(Unclassifiable):
    """The image's header announces more pixels than allowed: a decompression bomb or a very large photo."""


class ImageTooManyFrames(Unclassifiable):
    """The animation or document has more frames or pages than allowed."""


class FormatNotAllowed(Unclassifiable):
    """The image is of a format outside the allow-list."""


class NotAnImage(Unclassifiable):
    """No allowed decoder knows these bytes."""


class UnsupportedImage(Unclassifiable):
    """The image may be whole, and no decoder here reads this variant of its format."""


class BrokenImage(Unclassifiable):
    """The bytes start as an image and cannot be decoded to their end."""


class DecodeTooLarge(Unclassifiable):
    """Decoding it takes more memory than allowed."""


class DecodeTooLong(Unclassifiable):
    """Decoding it takes more processor time than allowed; it was cut off."""


class DecoderDied(Unclassifiable):
    """The process that decoded it ended or hung, and so did the next one."""


class BadAnswer(Unclassifiable):
    """The model gives no answer to the image, or one that is no distribution over its labels."""


class BadEnvelope(Unclassifiable):
    """The message around the image is malformed."""
