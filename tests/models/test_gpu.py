"""What only a GPU can show; skipped elsewhere."""

import pytest
import torch
from PIL import Image
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from models.vlm.loading import ImageOnlyQwen2_5_VLProcessor, save_model
from tasks.asking.coordinates import Coordinates
from tasks.records.images import to_png
from tasks.records.rows import Sample
from tests.tasks.training.trainings import reinforced

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with 24 GB"),
]


def test_a_grpo_step_of_the_real_3b_shape_fits_24_gb(tokenizer, tmp_path):
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(  # Qwen/Qwen2.5-VL-3B-Instruct, with random weights
        text_config={
            "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 11008,
            "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6,
                                "mrope_section": [16, 24, 24]},
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
            "out_hidden_size": 2048, "fullatt_block_indexes": [7, 15, 23, 31],
        },
        image_token_id=token("<|image_pad|>"), video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"), tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = Qwen2_5_VLForConditionalGeneration(config)
        torch.set_default_dtype(torch.float32)
    processor = ImageOnlyQwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessorPil(), tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    )  # fmt: skip
    save_model(model.cpu(), processor, tmp_path / "model")
    del model
    torch.cuda.reset_peak_memory_stats()
    picture = to_png(Image.effect_noise((560, 560), 50).convert("RGB"))
    samples = [
        Sample(id=str(i), task="count", split="train", prompt="How many circles are there?",
               answer="3", metric="exact", images=[picture])
        for i in range(4)
    ]  # fmt: skip
    history = reinforced(
        samples, [], coordinates=Coordinates(1000), prompts=1, answers=8, learning_rate=1e-5,
        beta=0.04, temperature=1.0, max_new_tokens=64, model=str(tmp_path / "model"), steps=2,
        out=str(tmp_path / "out"), scratch=str(tmp_path / "scratch"), run_id="", seed=0,
        device="gpu", precision="bf16-true", lora_rank=16, gradient_checkpointing=True,
    )  # fmt: skip
    assert len(history) == 2
    assert torch.cuda.max_memory_allocated() < 22e9
