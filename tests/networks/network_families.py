"""Small networks of many families, with inputs: what `symmetry_of` must understand."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F


def noise(*shape):
    """An example of inputs."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def chain(*layers):
    return nn.Sequential(*layers)


def mlp(*sizes, activation=nn.ReLU):
    layers = []
    for into, out in pairwise(sizes):
        layers += [nn.Linear(into, out), activation()]
    return chain(*layers[:-1])


def lenet():
    return chain(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, 12),
        nn.ReLU(),
        nn.Linear(12, 5),
    )


class Vgg(nn.Module):
    """The names and the classifier of the common one."""

    def __init__(self, *, norm):
        super().__init__()
        layers, into = [], 3
        for out in (4, "M", 6, 5, "M"):
            if out == "M":
                layers.append(nn.MaxPool2d(2))
                continue
            layers.append(nn.Conv2d(into, out, 3, padding=1))
            layers += [nn.BatchNorm2d(out)] if norm else []
            layers.append(nn.ReLU(inplace=True))
            into = out
        self.features = chain(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = chain(
            nn.Linear(5 * 4, 9), nn.ReLU(True), nn.Dropout(), nn.Linear(9, 7), nn.ReLU(True)
        )
        self.head = nn.Linear(7, 3)

    def forward(self, x):
        x = torch.flatten(self.avgpool(self.features(x)), 1)
        return self.head(self.classifier(x))


class BasicBlock(nn.Module):
    def __init__(self, into, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if into != out:
            self.downsample = chain(
                nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += identity
        return F.relu(out, inplace=True)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = chain(BasicBlock(4, 4, 1), BasicBlock(4, 4, 1))
        self.layer2 = chain(BasicBlock(4, 6, 2), BasicBlock(6, 6, 1))
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer2(self.layer1(x)).mean([2, 3]))


class PreActivation(nn.Module):
    """Normalization and activation before each convolution."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm1, self.conv1 = nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3, padding=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(5), nn.Conv2d(5, 4, 3, padding=1)
        self.norm3, self.fc = nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x):
        x = self.stem(x)
        inside = self.conv1(F.relu(self.norm1(x)))
        x = x + self.conv2(F.relu(self.norm2(inside)))
        return self.fc(F.adaptive_avg_pool2d(F.relu(self.norm3(x)), 1).flatten(1))


class Bottleneck(nn.Module):
    def __init__(self, groups=1, width=3):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.conv1, self.bn1 = nn.Conv2d(8, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.stem(x))
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        x = F.relu(x + self.bn3(self.conv3(y)))
        return self.fc(torch.flatten(F.avg_pool2d(x, 6), 1))


class MobileBlock(nn.Module):
    """Expansion, a filter per channel, projection; then channels multiplied by two."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.expand, self.bn1 = nn.Conv2d(4, 6, 1, bias=False), nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.project, self.bn3 = nn.Conv2d(6, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.twice = nn.Conv2d(4, 8, 3, groups=4)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = F.hardswish(self.stem(x))
        y = F.relu6(self.bn1(self.expand(x)))
        y = F.relu6(self.bn2(self.depthwise(y)))
        x = x + self.bn3(self.project(y))
        return self.fc(F.relu(self.twice(x)).mean((-1, -2)))


class GroupNormCnn(nn.Module):
    def __init__(self, groups, channels):
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(3, channels, 3), nn.GroupNorm(groups, channels)
        self.conv2, self.all = nn.Conv2d(channels, 5, 3), nn.GroupNorm(1, 5)
        self.fc = nn.Linear(5, 3)

    def forward(self, x):
        x = F.silu(self.norm(self.conv1(x)))
        return self.fc(F.silu(self.all(self.conv2(x))).amax(dim=(2, 3)))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 5, 2, 2)
        self.merge = nn.Conv2d(5 + 4, 3, 3, padding=1)
        self.out = nn.Conv2d(3 + 6, 2, 1)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear")

    def forward(self, x):
        first = F.relu(self.down1(x))
        second = F.relu(self.down2(F.max_pool2d(first, 2)))
        merged = F.relu(self.merge(torch.cat([self.up(second), first], dim=1)))
        return self.out(torch.cat((merged, self.upsample(second)), 1))


class DenseNet(nn.Module):
    """Each layer sees all before it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 3 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(4 + 3 * i, 3, 3, padding=1) for i in range(3))
        self.norm, self.fc = nn.BatchNorm2d(13), nn.Linear(13, 2)

    def forward(self, x):
        seen = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            seen.append(conv(F.relu(norm(torch.cat(seen, 1)))))
        return self.fc(F.relu(self.norm(torch.cat(seen, 1))).mean((2, 3)))


class TiedAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 3)
        self.back = nn.Parameter(torch.zeros(5))
        self.end = nn.Parameter(torch.zeros(6))

    def forward(self, x):
        code = torch.tanh(self.second(torch.tanh(self.first(x))))
        hidden = torch.tanh(F.linear(code, self.second.weight.t(), self.back))
        return hidden @ self.first.weight + self.end


class ResidualMlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.into = nn.Linear(5, 7)
        self.blocks = nn.ModuleList(
            chain(nn.LayerNorm(7), nn.Linear(7, 6), nn.GELU(), nn.Linear(6, 7)) for _ in range(2)
        )
        self.out = nn.Linear(7, 3)

    def forward(self, x):
        x = self.into(x)
        for block in self.blocks:
            x = x + block(x)
        return self.out(x)


class Mixer(nn.Module):
    """Layers over tokens, then over channels."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 6, 4, 4)
        self.norm1, self.norm2, self.norm = (nn.LayerNorm(6) for _ in range(3))
        self.tokens = chain(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 4))
        self.channels = chain(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norm2(x))
        return self.head(self.norm(x).mean(dim=1))


class Siren(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 6), nn.Linear(6, 5), nn.Linear(5, 1)])

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = torch.sin(30 * layer(x))
        return self.layers[-1](x)


class VisionTransformer(nn.Module):
    """Two blocks with `nn.MultiheadAttention`, a class token, learned positions."""

    def __init__(self, heads=2):
        super().__init__()
        self.patch = nn.Conv2d(3, 6, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 6))
        self.positions = nn.Parameter(torch.zeros(1, 5, 6))
        self.blocks = nn.ModuleList(EncoderBlock(6, heads, 7) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class EncoderBlock(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = chain(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    """Causal attention written by hand, output weights tied to the embedding or not."""

    def __init__(self, *, tied=False, flash=False, context=8):
        super().__init__()
        self.context = context
        self.wte, self.wpe = nn.Embedding(11, 6), nn.Embedding(context, 6)
        self.block = GptBlock(6, 2, context, flash=flash)
        self.ln_f, self.head = nn.LayerNorm(6), nn.Linear(6, 11, bias=False)
        if tied:
            self.wte.weight = self.head.weight

    def forward(self, tokens):
        _, length = tokens.size()
        assert length <= self.context, "too long"
        places = torch.arange(0, length, dtype=torch.long, device=tokens.device)
        x = self.wte(tokens) + self.wpe(places)
        return self.head(self.ln_f(self.block(x)))


class GptBlock(nn.Module):
    def __init__(self, width, heads, context, *, flash):
        super().__init__()
        self.heads, self.flash = heads, flash
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = chain(nn.Linear(width, 9), nn.GELU(), nn.Linear(9, width), nn.Dropout(0.1))
        mask = torch.tril(torch.ones(context, context)).view(1, 1, context, context)
        self.register_buffer("bias", mask)

    def attend(self, x):
        batch, length, width = x.size()
        split = self.c_attn(x).split(width, dim=2)
        q, k, v = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in split
        )
        if self.flash:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(-2, -1)) * k.size(-1) ** -0.5
            scores = scores.masked_fill(self.bias[:, :, :length, :length] == 0, float("-inf"))
            y = F.softmax(scores, dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).contiguous().view(batch, length, width))

    def forward(self, x):
        x = x + self.attend(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class FusedAttention(nn.Module):
    """qkv in one layer, unpacked along a new axis, as in timm."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(4, 6)
        self.qkv, self.proj = nn.Linear(6, 18, bias=False), nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.embed(x)
        batch, length, width = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, 3, width // 3).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attention = (q * 2**-0.5 @ k.transpose(-2, -1)).softmax(dim=-1)
        x = x + self.proj((attention @ v).transpose(1, 2).reshape(batch, length, width))
        return self.head(x.mean(1))


class SqueezeExcite(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.fc1, self.fc2 = nn.Conv2d(6, 4, 1), nn.Conv2d(4, 6, 1)
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        x = F.relu(self.norm(self.conv(x)))
        scale = torch.sigmoid(self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))))
        return self.fc((x * scale).mean((2, 3)))


def conv_autoencoder():
    return chain(
        nn.Conv2d(1, 4, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 6, 2, 2),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 1, 2, 2),
        nn.Sigmoid(),
    )


def signal_network():
    return chain(
        nn.Conv1d(2, 5, 3, padding=1),
        nn.InstanceNorm1d(5, affine=True, track_running_stats=True),
        nn.PReLU(5),
        nn.Conv1d(5, 4, 3),
        nn.PReLU(),
        nn.AdaptiveMaxPool1d(2),
        nn.Flatten(),
        nn.Linear(8, 3),
        nn.LogSoftmax(dim=1),
    )


class Sliced(nn.Module):
    """Half of the channels pass a layer, the others do not."""

    def __init__(self):
        super().__init__()
        self.first, self.part, self.last = nn.Linear(4, 7), nn.Linear(3, 3), nn.Linear(7, 2)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.last(torch.cat([torch.relu(self.part(x[:, :3])), x[:, 3:]], dim=-1))


class Gated(nn.Module):
    """A gated layer by chunks, a layer scale, root-mean-square normalization."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Linear(4, 6), nn.RMSNorm(6)
        self.up, self.down = nn.Linear(6, 10), nn.Linear(5, 6)
        self.gamma = nn.Parameter(torch.ones(6))
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        x = self.embed(x)
        value, gate = self.up(self.norm(x)).chunk(2, dim=-1)
        return self.head(x + self.gamma * self.down(value * F.silu(gate)))


class ChannelShuffle(nn.Module):
    """ShuffleNet's: channels of two groups alternate."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 8, 1, groups=2)
        self.last = nn.Conv2d(8, 4, 1, groups=2)

    def forward(self, x):
        batch, channels, height, width = (y := F.relu(self.first(x))).shape
        y = y.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return self.last(y.view(batch, channels, height, width))


class Convolutional(nn.Module):
    """ConvNeXt: depthwise, channels last, a layer scale; a deconvolution by shuffled pixels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 2, 2)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm, self.wide, self.back = nn.LayerNorm(4), nn.Linear(4, 6), nn.Linear(6, 4)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.finer, self.end = nn.Conv2d(4, 12, 1), nn.Conv2d(3, 2, 3)

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.back(F.gelu(self.wide(y))).permute(0, 3, 1, 2)
        x = x + self.scale * y
        return self.end(F.relu(F.pixel_shuffle(self.finer(x), 2)))


class PaddedShortcut(nn.Module):
    """A shortcut of the CIFAR ResNets: every second pixel, channels filled up with zeros."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 8, 3, 2, 1)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu(self.stem(x))
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2), "constant", 0)
        return self.fc(F.relu(self.conv(x) + short).mean((2, 3)))


class Several(nn.Module):
    """Two inputs, outputs in a dict; a layer that is used twice, one that is not used."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 5), nn.Linear(2, 5)
        self.shared, self.unused = nn.Linear(5, 5), nn.Linear(5, 5)
        self.out = nn.Linear(5, 2)

    def forward(self, x, y):
        z = torch.tanh(self.left(x)) + torch.tanh(self.right(y))
        z = torch.tanh(self.shared(torch.tanh(self.shared(z))))
        return {"logits": self.out(z), "more": (z.sum(1), None)}
