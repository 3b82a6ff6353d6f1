"""SAM 2 with random weights, small enough to be built and saved in a tenth of a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SIDE = 128


def save_tiny_sam2(folder: Path) -> Path:
    """Save such a network as the transformers library does."""
    import transformers

    library: Any = transformers
    backbone = library.Sam2HieraDetConfig(
        hidden_size=16,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[4] * 4,
        global_attention_blocks=[3],  # never the first block of a stage
        window_positional_embedding_background_size=[4, 4],
    )
    vision = library.Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[128, 64, 32, 16],
        fpn_hidden_size=32,
        backbone_feature_sizes=[[SIDE // 4] * 2, [SIDE // 8] * 2, [SIDE // 16] * 2],
    )
    config = library.Sam2Config(
        vision_config=vision,
        prompt_encoder_config=library.Sam2PromptEncoderConfig(hidden_size=32, image_size=SIDE),
        mask_decoder_config=library.Sam2MaskDecoderConfig(
            hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
        ),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = library.Sam2Model(config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "output_hypernetworks" in name or "upscale" in name:
                value.mul_(4)  # so that its logits leave zero
    model.save_pretrained(folder)
    image_processor = library.Sam2ImageProcessor(
        size={"height": SIDE, "width": SIDE}, mask_size={"height": SIDE // 4, "width": SIDE // 4}
    )
    library.Sam2Processor(image_processor=image_processor, target_size=SIDE).save_pretrained(folder)
    return folder
