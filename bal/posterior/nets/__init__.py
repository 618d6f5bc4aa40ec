"""Segmentation networks. The only folder that imports flax."""

from bal.posterior.nets.unet import UNet

NETS = {"unet": UNet}
