"""The embedded default: transformers' own Qwen3-VL class with a configuration for two CPU cores."""

import torch
from transformers import PreTrainedTokenizerBase, Qwen3VLConfig, Qwen3VLForConditionalGeneration

PATCH, MERGE = 8, 2  # pixels per patch; patches per token and axis


def tiny_qwen3_vl(
    tokenizer: PreTrainedTokenizerBase,
    picture_side: int,
    hidden: int = 192,
    layers: int = 4,
    vision_hidden: int = 160,
    vision_layers: int = 4,
    seed: int = 0,
) -> Qwen3VLForConditionalGeneration:
    """Build an untrained Qwen3-VL of 3.4 million parameters (with the default sizes).

    Learned absolute positions of the vision tower (one per patch of the training picture) help it
    locate things; DeepStack is off because at four layers it gained nothing for its cost.

    Args:
        tokenizer: Must know Qwen's vision tokens.
        picture_side: Side of the training pictures in pixels.
        hidden: Width of the language model, a multiple of 64 (heads have 32 dimensions).
        vision_hidden: Width of the vision tower, a multiple of 32.
    """
    token = tokenizer.convert_tokens_to_ids
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": -(-len(tokenizer) // 8) * 8,
            "hidden_size": hidden,
            "intermediate_size": hidden * 8 // 3,
            "num_hidden_layers": layers,
            "num_attention_heads": hidden // 32,
            "num_key_value_heads": max(1, hidden // 64),
            "head_dim": 32,
            "max_position_embeddings": 2048,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
            "tie_word_embeddings": True,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "depth": vision_layers,
            "hidden_size": vision_hidden,
            "intermediate_size": vision_hidden * 3,
            "num_heads": vision_hidden // 32,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 1,
            "out_hidden_size": hidden,
            "num_position_embeddings": (picture_side // PATCH) ** 2,
            "deepstack_visual_indexes": [],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
