"""Image files as people bring them, made by a script: formats x modes x depths x
orientations x damage.

Each has what its pixels are by the documented rules, or None where it must be refused
by its name. Where the file keeps all bits that is what went in, else what Pillow itself
reads, made upright by Pillow and laid on white here, in float64.
"""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

H, W = 6, 10
_rng = np.random.default_rng(0)
# Smooth, so that lossy formats keep most of it, and not symmetric.
_y, _x = np.mgrid[0:H, 0:W]
COLOUR = np.stack([_x * 25, _y * 40, 250 - _x * 12 - _y * 10], axis=2).astype(np.uint8)
GREY = (_x * 20 + _y * 6).astype(np.uint8)
ALPHA = np.where(_x < 4, 0, 255).astype(np.uint8)
HALF = (_x * 28).astype(np.uint8)
DEEP = (_x * 6000 + _y * 1500).astype(np.uint16)
MAKERS = {}


def ugly(name, *, truth="pillow", error=None, warns=None):
    """Register a maker of one file. ``truth``: "pillow", "refused", or a function
    without arguments."""

    def register(make):
        assert name not in MAKERS, name
        MAKERS[name] = Ugly(name, make, truth, error, warns)
        return make

    return register


class Ugly:
    """One file: how it is made, and what it must be read as."""

    def __init__(self, name, make, truth, error, warns):
        self.name, self.make, self.truth = name, make, truth
        self.error, self.warns = error, warns
        self.refused = truth == "refused"

    def write(self, folder):
        path = Path(folder) / self.name
        self.make(path)
        return path

    def expected(self, path):
        """(H, W) or (H, W, 3): uint8 values as float64, or 16-bit grey in [0, 1]."""
        if callable(self.truth):
            return np.asarray(self.truth(), dtype=np.float64)
        return by_pillow(path)


def by_pillow(path):
    """Pillow's own reading, through the documented rules, slowly."""
    with Image.open(path) as image:
        image.load()
        # Pillow turns TIFF files itself, and takes the tag away.
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("I", "I;16", "I;16B"):
            return np.asarray(upright).astype(np.float64) / 65535
        grey = upright.mode in ("1", "L", "LA", "La")
        if upright.has_transparency_data:
            rgba = np.asarray(upright.convert("RGBA")).astype(np.float64)
            share = rgba[..., 3:] / 255
            on_white = rgba[..., :3] * share + 255 * (1 - share)
            return on_white[..., 0] if grey else on_white
        pixels = np.asarray(upright.convert("L" if grey else "RGB"))
        return pixels.astype(np.float64)


def as_colour(pixels):
    """What is expected of one file when it is read in colour, beside others."""
    if pixels.max() <= 1 and pixels.dtype == np.float64 and pixels.ndim == 2:
        pixels = pixels * 255 if pixels.max() <= 1 else pixels
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


# ---- formats x modes

_rgba = np.dstack([COLOUR, HALF])
_la = np.dstack([GREY, HALF])
IMAGES = {
    "bilevel": Image.fromarray(GREY).convert("1"),
    "grey": Image.fromarray(GREY),
    "grey-alpha": Image.fromarray(_la),
    "colour": Image.fromarray(COLOUR),
    "colour-alpha": Image.fromarray(_rgba),
    "palette": Image.fromarray(COLOUR).quantize(16),
    "cmyk": Image.fromarray(COLOUR).convert("CMYK"),
    "ycbcr": Image.fromarray(COLOUR).convert("YCbCr"),
    "lab": Image.fromarray(COLOUR).convert("LAB"),
    "deep": Image.frombytes("I;16", (W, H), DEEP.astype("<u2").tobytes()),
}
_FORMATS = {
    "png": (
        "bilevel",
        "grey",
        "grey-alpha",
        "colour",
        "colour-alpha",
        "palette",
        "deep",
    ),
    "jpg": ("grey", "colour", "cmyk", "ycbcr"),
    "jfif": ("colour",),
    "tif": tuple(IMAGES),
    "bmp": ("bilevel", "grey", "colour", "colour-alpha", "palette"),
    "gif": ("bilevel", "grey", "colour", "palette"),
    "webp": ("colour", "colour-alpha"),
    "avif": ("grey", "colour", "colour-alpha"),
    "jp2": ("grey", "grey-alpha", "colour", "colour-alpha", "deep"),
    "pbm": ("bilevel",),
    "pgm": ("grey", "deep"),
    "ppm": ("colour",),
    "tga": ("grey", "grey-alpha", "colour", "colour-alpha", "palette"),
    "pcx": ("bilevel", "grey", "colour", "palette"),
    "dib": ("grey", "colour"),
    "qoi": ("colour", "colour-alpha"),
}
for _suffix, _kinds in _FORMATS.items():
    for _kind in _kinds:

        @ugly(f"{_kind}.{_suffix}")
        def _make(path, image=IMAGES[_kind]):
            image.save(path)


def _alpha_on_white(pixels, alpha):
    share = alpha[..., None] / 255 if pixels.ndim == 3 else alpha / 255
    return pixels * share + 255 * (1 - share)


for _compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):

    @ugly(f"colour-{_compression}.tiff")
    def _make(path, compression=_compression):
        IMAGES["colour"].save(path, compression=compression)

    if _compression != "jpeg":

        @ugly(f"deep-{_compression}.tiff", truth=lambda: DEEP / 65535)
        def _make(path, compression=_compression):
            IMAGES["deep"].save(path, compression=compression)


@ugly("group4.tif")
def _make(path):
    IMAGES["bilevel"].save(path, compression="group4")


@ugly("progressive.jpg")
def _make(path):
    IMAGES["colour"].save(path, progressive=True)


@ugly("lossless.webp", truth=lambda: COLOUR)
def _make(path):
    IMAGES["colour"].save(path, lossless=True)


@ugly("capital.JPG")
def _make(path):
    IMAGES["colour"].save(path, "JPEG")


@ugly("png-called.jpg", truth=lambda: COLOUR)
def _make(path):
    IMAGES["colour"].save(path, "PNG")


@ugly("one-pixel.png", truth=lambda: COLOUR[:1, :1])
def _make(path):
    Image.fromarray(COLOUR[:1, :1]).save(path)


@ugly("one-column.png", truth=lambda: COLOUR[:, :1])
def _make(path):
    Image.fromarray(COLOUR[:, :1].copy()).save(path)


@ugly("one-row.png", truth=lambda: COLOUR[:1])
def _make(path):
    Image.fromarray(COLOUR[:1]).save(path)


# ---- transparency without an alpha channel


@ugly("palette-hole.png")
def _make(path):
    image = IMAGES["palette"]
    image.save(path, transparency=image.getpixel((3, 3)))


@ugly("palette-holes.png")
def _make(path):
    IMAGES["palette"].save(path, transparency=bytes(range(0, 256, 16)))


@ugly("palette-hole.gif")
def _make(path):
    image = IMAGES["palette"]
    image.save(path, transparency=image.getpixel((3, 3)))


@ugly("grey-hole.png", truth=lambda: np.where(GREY[2, 2] == GREY, 255, GREY))
def _make(path):
    IMAGES["grey"].save(path, transparency=int(GREY[2, 2]))


@ugly("bilevel-hole.png", truth=lambda: np.full((H, W), 255))
def _make(path):
    Image.new("1", (W, H)).save(path, transparency=0)


def _without(colour, pixels):
    where = (pixels == colour).all(axis=2, keepdims=True)
    return np.where(where, 255, pixels)


@ugly("colour-hole.png", truth=lambda: _without(COLOUR[1, 1], COLOUR))
def _make(path):
    IMAGES["colour"].save(path, transparency=tuple(map(int, COLOUR[1, 1])))


# ---- depths that Pillow does not write


def write_png(path, pixels, colour_type, *, bits=16, transparent=None):
    """A PNG of any depth and colour type, by the format's definition."""

    def chunk(kind, content):
        whole = kind + content
        crc = struct.pack(">I", zlib.crc32(whole))
        return struct.pack(">I", len(content)) + whole + crc

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    if bits == 16:
        rows = [b"\0" + row.astype(">u2").tobytes() for row in pixels]
    else:
        per_byte = 8 // bits
        padded = np.zeros((height, -(-width // per_byte) * per_byte), np.uint8)
        padded[:, :width] = pixels
        shifts = np.arange(8 - bits, -1, -bits)
        packed = (padded.reshape(height, -1, per_byte) << shifts).sum(axis=2)
        rows = [b"\0" + row.astype(np.uint8).tobytes() for row in packed]
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    if transparent is not None:
        key = struct.pack(f">{len(transparent)}H", *transparent)
        content += chunk(b"tRNS", key)
    content += chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    path.write_bytes(content)


def write_tiff(path, pixels, *, bits, photometric=1, order="<", extra=()):
    """An uncompressed TIFF of one strip, by the format's definition."""
    height, width = pixels.shape[:2]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    if bits == 12:
        flat = pixels.reshape(height, -1).astype(np.uint32)
        a, b = flat[:, ::2], flat[:, 1::2]
        packed = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], axis=2)
        strip = packed.astype(np.uint8).tobytes()
    else:
        strip = pixels.astype(f"{order}u{bits // 8}").tobytes()
    depths = struct.pack(f"{order}{samples}H", *[bits] * samples)
    begin = 8 + len(strip)
    tags = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, samples, None if samples > 2 else bits),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 8),
        (277, 3, 1, samples),
        (278, 3, 1, height),
        (279, 4, 1, len(strip)),
        *extra,
    ]
    entries = b""
    for tag, kind, count, value in sorted(tags):
        # One that does not fit lies behind the strip.
        known = begin if value is None else value
        is_long = kind == 4 or value is None
        packed = struct.pack(f"{order}I" if is_long else f"{order}H2x", known)
        entries += struct.pack(f"{order}HHI", tag, kind, count) + packed
    place = begin + len(depths)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", place)
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    path.write_bytes(head + strip + depths + directory)


_deep_colour = np.stack([DEEP, 60000 - DEEP, DEEP // 2], axis=2).astype(np.uint16)
_deep_alpha = (HALF.astype(np.uint16) * 257)[..., None]


@ugly("colour-16.png", truth=lambda: _deep_colour >> 8)
def _make(path):
    write_png(path, _deep_colour, 2)


@ugly("colour-alpha-16.png")
def _make(path):
    write_png(path, np.dstack([_deep_colour, _deep_alpha]), 6)


@ugly("grey-alpha-16.png", truth=lambda: _alpha_on_white(DEEP >> 8, HALF))
def _make(path):
    write_png(path, np.dstack([DEEP[..., None], _deep_alpha]), 4)


def _deep_without(value):
    return np.where(value == DEEP, 65535, DEEP) / 65535


@ugly("deep-hole.png", truth=lambda: _deep_without(DEEP[2, 2]))
def _make(path):
    write_png(path, DEEP, 0, transparent=[int(DEEP[2, 2])])


@ugly("deep-black-hole.png", truth=lambda: _deep_without(0))
def _make(path):
    write_png(path, DEEP, 0, transparent=[0])


@ugly(
    "colour-hole-16.png",
    truth=lambda: _without(_deep_colour[2, 2] >> 8, _deep_colour >> 8),
)
def _make(path):
    write_png(path, _deep_colour, 2, transparent=list(map(int, _deep_colour[2, 2])))


for _bits in (1, 2, 4):
    _levels = 2**_bits - 1

    _few = GREY // 3 % (_levels + 1)

    @ugly(f"grey-{_bits}-bits.png", truth=lambda few=_few, n=_levels: few * (255 // n))
    def _make(path, few=_few, bits=_bits):
        write_png(path, few, 0, bits=bits)


@ugly("big-endian.tif", truth=lambda: DEEP / 65535)
def _make(path):
    write_tiff(path, DEEP, bits=16, order=">")


@ugly("white-is-zero-16.tif", truth=lambda: 1 - DEEP / 65535)
def _make(path):
    write_tiff(path, DEEP, bits=16, photometric=0)


@ugly("white-is-zero-8.tif", truth=lambda: 255.0 - GREY)
def _make(path):
    write_tiff(path, GREY, bits=8, photometric=0)


@ugly("twelve-bits.tif", truth=lambda: (DEEP >> 4) / 4095)
def _make(path):
    write_tiff(path, DEEP >> 4, bits=12)


@ugly("colour-16.tif", truth=lambda: _deep_colour >> 8)
def _make(path):
    write_tiff(path, _deep_colour, bits=16, photometric=2)


@ugly("white-is-zero-big-endian.tif", truth="refused")
def _make(path):
    write_tiff(path, DEEP, bits=16, photometric=0, order=">")


def _netpbm(magic, numbers, top=None, comment=b""):
    head = magic + b"\n" + comment + b"%d %d\n" % (W, H)
    if top is not None:
        head += b"%d\n" % top
    if magic in (b"P1", b"P2", b"P3"):
        return head + b" ".join(b"%d" % value for value in numbers.ravel())
    kind = ">u2" if top is not None and top > 255 else np.uint8
    return head + numbers.astype(kind).tobytes()


_NETPBM = {
    "plain.pbm": (b"P1", (GREY > 99) * 1, None, lambda: np.where(GREY > 99, 0, 255)),
    "plain.pgm": (b"P2", GREY, 255, lambda: GREY),
    "plain.ppm": (b"P3", COLOUR, 255, lambda: COLOUR),
    "plain-deep.pgm": (b"P2", DEEP, 65535, lambda: DEEP / 65535),
    "fifteen.pgm": (b"P5", GREY // 17, 15, lambda: GREY // 17 * 17),
    "thousand.pgm": (b"P5", DEEP // 66, 1000, lambda: DEEP // 66 / 1000),
    "deep-raw.pgm": (b"P5", DEEP, 65535, lambda: DEEP / 65535),
}
for _name, (_magic, _numbers, _top, _truth) in _NETPBM.items():

    @ugly(_name, truth=_truth)
    def _make(path, args=(_magic, _numbers, _top)):
        path.write_bytes(_netpbm(*args, comment=b"# by hand\n"))


@ugly("numbers.pfm", truth="refused", error="no known range")
def _make(path):
    Image.fromarray(DEEP.astype(np.float32)).save(path)


@ugly("floats.tif", truth="refused", error="no known range")
def _make(path):
    Image.fromarray(DEEP.astype(np.float32)).save(path)


@ugly("whole-numbers.tif", truth="refused", error="no known range")
def _make(path):
    Image.fromarray(DEEP.astype(np.int32)).save(path)


@ugly("signed-16.tif", truth="refused", error="no known range")
def _make(path):
    write_tiff(path, DEEP // 2, bits=16, extra=[(339, 3, 1, 2)])


# ---- orientations

for _suffix in ("jpg", "png", "webp", "tif", "avif"):
    for _turn in (*range(1, 9), 0, 9):

        @ugly(f"turned-{_turn}.{_suffix}")
        def _make(path, turn=_turn):
            exif = Image.Exif()
            exif[0x0112] = turn
            IMAGES["colour"].save(path, exif=exif, quality=95)


@ugly("turned-grey.png", truth=lambda: np.rot90(GREY, -1))
def _make(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    IMAGES["grey"].save(path, exif=exif)


@ugly("turned-deep.png", truth=lambda: np.rot90(DEEP, -1) / 65535)
def _make(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    IMAGES["deep"].save(path, exif=exif)


@ugly("turned-deep.tif", truth=lambda: np.rot90(DEEP, -1) / 65535)
def _make(path):
    write_tiff(path, DEEP, bits=16, extra=[(274, 3, 1, 6)])


for _turn, _array in ((6, np.rot90(GREY, -1)), (8, np.rot90(GREY)), (5, GREY.T)):
    # Grey, uncompressed: Pillow maps such files into memory.
    @ugly(f"turned-{_turn}-grey.tif", truth=lambda array=_array: array)
    def _make(path, turn=_turn):
        write_tiff(path, GREY, bits=8, extra=[(274, 3, 1, turn)])


@ugly("turned-by-xmp.png", truth=lambda: np.rot90(COLOUR, -1))
def _make(path):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    IMAGES["colour"].save(path, pnginfo=info)


def _jpeg_with_exif(path, exif):
    buffer = BytesIO()
    IMAGES["colour"].save(buffer, "JPEG", quality=95)
    whole = buffer.getvalue()
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(whole[:2] + segment + whole[2:])


def _plain_jpeg():
    buffer = BytesIO()
    IMAGES["colour"].save(buffer, "JPEG", quality=95)
    return np.asarray(Image.open(buffer))


@ugly(
    "exif-of-letters.webp",
    truth=lambda: COLOUR,
    warns="EXIF data of .* cannot be read",
)
def _make(path):
    IMAGES["colour"].save(path, lossless=True, exif=b"no directory of tags")


@ugly("exif-of-letters.jpg", truth=_plain_jpeg)
def _make(path):
    _jpeg_with_exif(path, b"Exif\0\0this is no directory of tags")


@ugly("exif-of-nothing.jpg", truth=_plain_jpeg)
def _make(path):
    _jpeg_with_exif(path, b"Exif\0\0")


# ---- several pages or frames

for _name in ("pages.tif", "frames.gif", "frames.webp", "frames.png", "frames.avif"):

    @ugly(_name, warns="has several pages or frames")
    def _make(path):
        # Frames that do not resemble each other: some formats join those that do.
        further = [Image.fromarray(255 - COLOUR), Image.fromarray(COLOUR[::-1].copy())]
        IMAGES["colour"].save(path, save_all=True, append_images=further)


@ugly("photo-and-preview.jpg")
def _make(path):
    IMAGES["colour"].save(
        path, "MPO", save_all=True, append_images=[Image.fromarray(255 - COLOUR)]
    )


# ---- damage

for _suffix in ("png", "jpg", "tif", "bmp", "gif", "webp", "avif", "jp2", "ppm", "tga"):

    @ugly(f"cut.{_suffix}", truth="refused")
    def _make(path):
        # Noise: what compresses to nothing has nothing to cut.
        noise = _rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


_DAMAGE = {
    "empty.png": b"",
    "web-page.jpg": b"<!DOCTYPE html><html>404 not found</html>",
    "zeros.jpg": bytes(5000),
    "text.png": b"this is a text, not an image",
    "pointer.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1",
    "signature.png": b"\x89PNG\r\n\x1a\n",
    "signature.jpg": b"\xff\xd8\xff\xe0",
    "letters.ppm": b"P6 4x 4 255 " + bytes(48),
    "no-height.pgm": b"P5 4",
    "minus.pgm": b"P5 -4 4 255 " + bytes(16),
}
for _name, _content in _DAMAGE.items():

    @ugly(_name, truth="refused")
    def _make(path, content=_content):
        path.write_bytes(content)


@ugly("missing.png", truth="refused", error="No such file")
def _make(path):
    path.unlink(missing_ok=True)


@ugly("folder.png", truth="refused")
def _make(path):
    path.mkdir()


@ugly("nowhere.png", truth="refused")
def _make(path):
    path.symlink_to(path.with_name("gone.png"))


@ugly("itself.png", truth="refused")
def _make(path):
    path.symlink_to(path.name)


@ugly("bomb.png", truth="refused", error="decompression bomb")
def _make(path):
    IMAGES["grey"].save(path)
    whole = bytearray(path.read_bytes())
    # Its header says 100,000 x 100,000 pixels.
    whole[16:24] = struct.pack(">II", 100_000, 100_000)
    whole[29:33] = struct.pack(">I", zlib.crc32(bytes(whole[12:29])))
    path.write_bytes(bytes(whole))


@ugly("bad-checksum.png", truth="refused")
def _make(path):
    IMAGES["colour"].save(path)
    whole = bytearray(path.read_bytes())
    whole[40] ^= 0xFF
    path.write_bytes(bytes(whole))


@ugly("trailing-garbage.jpg", truth=_plain_jpeg)
def _make(path):
    IMAGES["colour"].save(path, quality=95)
    path.write_bytes(path.read_bytes() + b"appended by a camera" * 20)


@ugly("trailing-garbage.png", truth=lambda: COLOUR)
def _make(path):
    IMAGES["colour"].save(path)
    path.write_bytes(path.read_bytes() + bytes(100))


@ugly("caf\udce9.png", truth=lambda: COLOUR)
def _make(path):
    IMAGES["colour"].save(path)


@ugly("new\nline, comma; and spaces .png", truth=lambda: COLOUR)
def _make(path):
    IMAGES["colour"].save(path)
