"""The mask codec: a 64 x 64 mask to a 4 x 4 grid of codes and back, under the names and layouts of vae-oid.npz.

The architecture is that of the released file (convolutions, two residual blocks on either side, a codebook of 128);
only the widths differ, and a reader takes those from the arrays. Masks are cut out by their box and resized with
TensorFlow's antialiased bilinear filter, which PyTorch's `antialias` equals; a decoded map is resized by PIL's bilinear
filter in floats and is foreground above zero, as PaliGemma's evaluator does.
"""
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

SIDE, GRID, CODES = 64, 4, 128


class Residual(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(width, width, 3, padding=1), torch.nn.ReLU(),
            torch.nn.Conv2d(width, width, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(width, width, 1))

    def forward(self, x):
        return x + self.net(x)


def encoder(widths, code_width):
    layers, last = [], 1
    for width in widths:
        layers += [torch.nn.Conv2d(last, width, 4, 2, 1), torch.nn.ReLU()]
        last = width
    return torch.nn.Sequential(*layers, Residual(last), Residual(last), torch.nn.Conv2d(last, code_width, 1))


def decoder(widths, code_width):
    top = widths[-1]
    layers = [torch.nn.Conv2d(code_width, top, 1), torch.nn.ReLU(), Residual(top), Residual(top)]
    for before, after in zip((top,) + tuple(widths[::-1]), widths[::-1]):
        layers += [torch.nn.ConvTranspose2d(before, after, 4, 2, 1), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Conv2d(widths[0], 1, 1))


class Codec(torch.nn.Module):
    def __init__(self, widths, code_width):
        super().__init__()
        self.encoder, self.decoder = encoder(widths, code_width), decoder(widths, code_width)
        for name in ("_embedding", "_ema_w"):
            self.register_buffer(name, torch.zeros(CODES, code_width))
        self.register_buffer("_ema_cluster_size", torch.zeros(CODES))

    def nearest(self, vectors):
        """[n, D] to codes [n]; of equals the first."""
        table = self._embedding
        return ((vectors ** 2).sum(1, keepdim=True) + (table ** 2).sum(1) - 2.0 * vectors @ table.T).argmin(1)

    @torch.no_grad()
    def encode(self, masks, size=1024):
        """Masks [n, 64, 64], 0 to 255, to codes [n, 16] bytes."""
        parts = [self.nearest(self.encoder(centred(part)).permute(0, 2, 3, 1).flatten(0, 2)).view(-1, GRID * GRID)
                 for part in torch.from_numpy(np.asarray(masks)).split(size)]
        return torch.cat(parts).to(torch.uint8).numpy()

    @torch.no_grad()
    def decode(self, codes, size=1024):
        """Codes [n, 16] to maps [n, 64, 64] in about [-1, 1]."""
        parts = [self.decoder(self._embedding[part.long()].view(-1, GRID, GRID, self._embedding.shape[1])
                              .permute(0, 3, 1, 2))[:, 0] for part in torch.from_numpy(np.asarray(codes)).split(size)]
        return torch.cat(parts).numpy()


def load(path):
    arrays = {n.replace("_vq_vae.", ""): torch.from_numpy(a) for n, a in np.load(path).items()}
    widths = tuple(len(arrays["encoder.%d.weight" % k]) for k in (0, 2, 4, 6))
    codec = Codec(widths, arrays["_embedding"].shape[1])
    codec.load_state_dict(arrays)
    return codec.eval()


def centred(masks):
    """[n, 64, 64], 0 to 255, to [n, 1, 64, 64] floats in [-1, 1]."""
    return masks[:, None].float() / 127.5 - 1.0


def squared(mask):
    """What a box cuts out of a mask, [h, w] bytes, to [64, 64] floats, 0 to 255."""
    values = torch.from_numpy(mask.astype(np.float32))[None, None]
    values = F.interpolate(values, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    return values[0, 0].numpy()


def cut(mask, bins):
    """What location bins y1 x1 y2 x2 cut out of a mask [height, width] at the size of its picture, for `encode`."""
    y1, x1, y2, x2 = (round(b / 1023.0 * side) for b, side in zip(bins, mask.shape * 2))
    return squared(mask[y1:max(y2, y1 + 1), x1:max(x2, x1 + 1)])


def paste(decoded, bins, height, width):
    """The evaluator's mask: a decoded map [64, 64] in the box of location bins y1 x1 y2 x2. [height, width] booleans"""
    y1, x1, y2, x2 = (int(b / 1023.0 * side) for b, side in zip(bins, (height, width, height, width)))
    mask = np.zeros((height, width), bool)
    if y2 > y1 and x2 > x1:
        mask[y1:y2, x1:x2] = np.asarray(Image.fromarray(decoded.astype(np.float32)).resize(
            (x2 - x1, y2 - y1), Image.BILINEAR)) > 0.0
    return mask


def mask_iou(a, b):
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0
