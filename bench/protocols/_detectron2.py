"""Faster R-CNN of detectron2 (Wu et al. 2019) on an encoder's pyramid: its parts, put together without its configs."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from bench.detections import Found
from bench.protocols._detectors import POOL, RATIOS, SCALE, Recipe, as_found
from bench.protocols._pyramids import Pyramid


class Detectron2(nn.Module):
    """detectron2's two stages; numbers of proposals are torchvision's."""

    def __init__(self, pyramid: Pyramid, classes: int, recipe: Recipe) -> None:
        super().__init__()
        self.pyramid = pyramid
        strides, width = pyramid.strides, recipe.width
        self.proposals = _proposals(strides, width)
        self.heads = _heads(strides[:-1], classes, recipe)

    def losses(
        self, images: UInt8[Tensor, "b 3 s s"], boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> Float[Tensor, ""]:
        """As stated by `Detector`."""
        from detectron2.structures import Boxes, Instances
        from detectron2.utils.events import EventStorage

        truth = [Instances(tuple(images.shape[2:])) for _ in boxes]
        for one, edges, of in zip(truth, boxes, labels, strict=True):
            one.gt_boxes, one.gt_classes = Boxes(edges), of
        with EventStorage():  # where its parts write numbers nobody reads
            found = self._run(images, truth)[1]
        return torch.stack(list(found.values())).sum()

    def find(self, images: UInt8[Tensor, "b 3 s s"]) -> list[Found]:
        """As stated by `Detector`."""
        found = self._run(images, None)[0]
        return [as_found(one.pred_boxes.tensor, one.scores, one.pred_classes) for one in found]

    def _run(self, images: UInt8[Tensor, "b 3 s s"], truth: Any) -> tuple[Any, dict[str, Tensor]]:
        from detectron2.structures import ImageList

        pixels = self.pyramid.encoder.normalise(images).contiguous(memory_format=torch.channels_last)
        batch = ImageList(pixels, [tuple(images.shape[2:])] * len(images))
        maps = self.pyramid(pixels)
        regions, first = self.proposals(batch, maps, truth)
        found, second = self.heads(batch, maps, regions, truth)
        return found, {**first, **second}


def _names(strides: Sequence[int]) -> list[str]:
    return [str(number) for number in range(len(strides))]


def _proposals(strides: Sequence[int], width: int) -> nn.Module:
    from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
    from detectron2.modeling.box_regression import Box2BoxTransform
    from detectron2.modeling.matcher import Matcher
    from detectron2.modeling.proposal_generator import RPN
    from detectron2.modeling.proposal_generator.rpn import StandardRPNHead

    anchors = DefaultAnchorGenerator(
        sizes=[[SCALE * stride] for stride in strides], aspect_ratios=[list(RATIOS)], strides=list(strides)
    )
    network: nn.Module = RPN(
        in_features=_names(strides),
        head=StandardRPNHead(in_channels=width, num_anchors=len(RATIOS)),
        anchor_generator=anchors,
        anchor_matcher=Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True),
        box2box_transform=Box2BoxTransform((1.0, 1.0, 1.0, 1.0)),
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_topk=(2000, 1000),
        post_nms_topk=(2000, 1000),
    )
    return network


def _heads(strides: Sequence[int], classes: int, recipe: Recipe) -> nn.Module:
    from detectron2.layers import ShapeSpec
    from detectron2.modeling.box_regression import Box2BoxTransform
    from detectron2.modeling.matcher import Matcher
    from detectron2.modeling.poolers import ROIPooler
    from detectron2.modeling.roi_heads import FastRCNNConvFCHead, FastRCNNOutputLayers, StandardROIHeads

    shape = ShapeSpec(channels=recipe.width, height=POOL, width=POOL)
    box_head = FastRCNNConvFCHead(shape, conv_dims=[], fc_dims=[recipe.hidden, recipe.hidden])
    predictor = FastRCNNOutputLayers(
        box_head.output_shape,
        box2box_transform=Box2BoxTransform((10.0, 10.0, 5.0, 5.0)),
        num_classes=classes,
        test_score_thresh=recipe.score,
        test_nms_thresh=recipe.overlap,
        test_topk_per_image=recipe.most,
    )
    network: nn.Module = StandardROIHeads(
        num_classes=classes,
        batch_size_per_image=recipe.regions,
        positive_fraction=0.25,
        proposal_matcher=Matcher([0.5], [0, 1], allow_low_quality_matches=False),
        box_in_features=_names(strides),
        box_pooler=ROIPooler(POOL, [1 / stride for stride in strides], sampling_ratio=0, pooler_type="ROIAlignV2"),
        box_head=box_head,
        box_predictor=predictor,
    )
    return network
