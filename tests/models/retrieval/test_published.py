"""A published retriever gives its own vectors through ours."""

from pathlib import Path

import torch
from PIL import Image
from transformers import ColQwen2Config, ColQwen2ForRetrieval, Qwen2VLConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from models.retrieval.encoder import load_retriever
from models.retrieval.published import PAGE, QUESTION, convert, is_published
from models.vlm.loading import load_processor

SIDE = 56


def published(folder, tokenizer) -> ColQwen2ForRetrieval:
    """Write a tiny checkpoint as transformers does."""
    tokens = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3],
                            "rope_theta": 10000.0},
    }  # fmt: skip
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 14}
    vlm = Qwen2VLConfig(
        text_config=text, vision_config=vision, image_token_id=tokens("<|image_pad|>"),
        video_token_id=tokens("<|video_pad|>"), vision_start_token_id=tokens("<|vision_start|>"),
        vision_end_token_id=tokens("<|vision_end|>"),
    )  # fmt: skip
    torch.manual_seed(0)
    model = ColQwen2ForRetrieval(ColQwen2Config(vlm_config=vlm, embedding_dim=24)).eval()
    torch.nn.init.normal_(model.embedding_proj_layer.bias)
    model.to(torch.bfloat16).float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    images = Qwen2VLImageProcessorPil(size={"shortest_edge": SIDE**2, "longest_edge": 4 * SIDE**2})
    images.save_pretrained(folder)
    return model


def test_its_vectors_are_those_of_the_checkpoint(model_folder, tmp_path):
    tokenizer = load_processor(str(model_folder)).tokenizer
    theirs = published(tmp_path / "theirs", tokenizer)
    assert is_published(tmp_path / "theirs") and not is_published(Path(model_folder))
    convert(tmp_path / "theirs", tmp_path / "ours")
    encoder = load_retriever(str(tmp_path / "ours"))
    picture = Image.effect_noise((SIDE, 2 * SIDE), 60).convert("RGB")
    processor = encoder[0].processor

    inputs = processor(text=[PAGE], images=[picture], return_tensors="pt")
    with torch.no_grad():
        inputs["pixel_values"] = inputs["pixel_values"][None]
        page = theirs(**inputs).embeddings[0]
        asked = f"{QUESTION}May?{tokenizer.pad_token * 10}\n"
        question = theirs(**tokenizer([asked], return_tensors="pt")).embeddings[0]
    [ours] = encoder.encode_document([picture])
    assert torch.allclose(ours, page, atol=2e-3)  # ours is kept in bfloat16
    [mine] = encoder.encode_query(["May?"])
    assert torch.allclose(mine, question, atol=2e-3)
    other = Image.effect_noise((SIDE, 2 * SIDE), 60).convert("RGB")
    assert (encoder.encode_document([other])[0] - ours).norm(dim=-1).max() > 1e-2
