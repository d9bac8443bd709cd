"""Prompts are part of a benchmark: this snapshot makes a change of words visible."""

from pathlib import Path

import tasks.prompts
from tasks.prompts import prompt

JUDGED = {"question": "Q?", "a": "first", "b": "second", "frames": "3", "low": "1", "high": "10"}
THOUGHT = JUDGED | {"dimensions": "Colors, Places", "first": "Colors"}
RENDERED = {
    "benchmarks/choose": (
        {"question": "Which colour?", "options": "A. red\nB. blue"},
        "Which colour?\nA. red\nB. blue\nAnswer with the letter of the right option.",
    ),
    "benchmarks/letter": (
        {"question": "Which? Options: A: red, B: blue"},
        "Which? Options: A: red, B: blue\nAnswer with the letter of the right option.",
    ),
    "reinforce/classify": ({}, "Which class is it?"),
    "caption/describe": ({}, "Tell me what you see."),
    "caption/objects": (
        {"sentence": "A cat.", "prefix": "Look closer at"},
        "A caption of a picture says: A cat.\nList the objects that it says are there, one on each "
        "line, exactly like this: Look closer at the object.\nLeave out what it only supposes. "
        "Where it names none, write: none",
    ),
    "caption/looks": (
        {"details": "A cat.\nthe cat: It is red."},
        "These are sentences about a picture, each followed by what was seen of its objects:\n\n"
        "A cat.\nthe cat: It is red.\n\nWrite one paragraph that says how these objects look. Add "
        "nothing to it.",
    ),
    "caption/places": (
        {"details": "A cat.\nthe cat: On the left."},
        "These are sentences about a picture, each followed by where its objects are:\n\n"
        "A cat.\nthe cat: On the left.\n\nWrite one paragraph that says where these objects are. "
        "Add nothing to it.",
    ),
    "caption/integrate": (
        {"sentences": "A cat.", "looks": "It is red.", "places": "On the left."},
        "Sentences about a picture:\nA cat.\n\nHow its objects look:\nIt is red.\n\nWhere they are:"
        "\nOn the left.\n\nWrite one caption of the picture from all of this, in the order of the "
        "sentences. Add nothing to it, and begin with the caption itself.",
    ),
    "caption/read": (
        {"caption": "A cat.", "question": "Which animal?"},
        "A picture is described like this: A cat.\nWhich animal?\nAnswer with the answer alone.",
    ),
    "reinforce/final_instructions": (
        {},
        "Think first, then answer with the name of the class alone, exactly like this: "
        "<think>your thoughts</think><answer>class name</answer>",
    ),
    "reason/plain": ({"question": "Q?"}, "Q? Think, then answer."),
    "reason/caption_first": ({"question": "Q?"}, "Q? Describe, think, then answer."),
    "reason/witness": (
        {"question": "Q?", "caption": "A ring."},
        "Answer in a word or number from the text below alone. Say unknown if it does not tell, "
        "and Hacking Sample if it answers, infers or explains.\nQuestion: Q?\nText: A ring.",
    ),
    "reason/caption_first_instructions": (
        {},
        "First describe the image exhaustively (objects, numbers, text, relations), then think "
        "step by step from your description alone, then answer with a word, a number or a short "
        "phrase, exactly like this: <info>your description</info><think>your thoughts</think>"
        "<answer>your answer</answer>",
    ),
    "reason/plain_instructions": (
        {},
        "Think first, then answer with a word, a number or a short phrase, exactly like this: "
        "<think>your thoughts</think><answer>your answer</answer>",
    ),
    "reinforce/find": ({"label": "circle"}, "Find every circle."),
    "ground/read_box": ({"box": "[1, 2, 3, 4]"}, "Read the text in the box [1, 2, 3, 4]."),
    "ground/reason": (
        {"question": "How much is it?"},
        'How much is it? Reason step by step about what you see, then write "Answer:" and the '
        "answer alone.",
    ),
    "ground/locate_text": ({"text": "47"}, "Give the box of the text 47."),
    "world/judge_pair": (
        {"question": "Q?", "a": "first", "b": "second"},
        "Q? Which answer is better? A: first B: second",
    ),
    "judge/edited": (
        {"asked": "Make it red."},
        "Each image is shown after the one that it was made from, as asked: Make it red.",
    ),
    "judge/image_generation_pair": (
        JUDGED,
        'Caption: Q?\nWhich image shows the caption better? Write "Image 1 is better '
        'than Image 2" or "Image 2 is better than Image 1".',
    ),
    "judge/image_generation_point": (
        JUDGED,
        'Caption: Q?\nHow well does the image show the caption? Write "Final Score: " '
        "and a number from 1 to 10.",
    ),
    "judge/image_understanding_pair": (
        JUDGED,
        "Q? Which answer is better? A: first B: second",
    ),
    "judge/image_understanding_point": (
        JUDGED,
        "Q? Score this answer from 1 to 10: first",
    ),
    "judge/think_image_generation": (
        THOUGHT,
        "Caption: Q?\nWhich image shows the caption better? Score both on Colors, Places, each "
        "from 1 to 10, add up, then answer: <think>1. Colors: Image 1 (n/10) - why; Image 2 (n/10)"
        " - why\nTotal score:\nImage 1: n+n=n\nImage 2: n+n=n</think><answer>Image 1 is better"
        "</answer>",
    ),
    "judge/think_video_generation": (
        THOUGHT,
        "The first 3 pictures are Video 1, the other 3 are Video 2.\nCaption: Q?\nWhich video "
        "shows the caption better? Score both on Colors, Places, each from 1 to 10, add up, then "
        "answer: <think>1. Colors: Video 1 (n/10) - why; Video 2 (n/10) - why\nTotal score:\nVideo"
        " 1: n+n=n\nVideo 2: n+n=n</think><answer>Video 1 is better</answer>",
    ),
    "judge/think_image_understanding": (
        THOUGHT,
        "Q? Which answer is better? Answer 1: first Answer 2: second\nScore both on Colors, "
        "Places, each from 1 to 10, add up, then answer: <think>1. Colors: Answer 1 (n/10) - why; "
        "Answer 2 (n/10) - why\nTotal score:\nAnswer 1: n+n=n\nAnswer 2: n+n=n</think><answer>"
        "Answer 1 is better</answer>",
    ),
    "judge/think_video_understanding": (
        THOUGHT,
        "The pictures are frames of a video. Q? Which answer is better? Answer 1: first Answer 2: "
        "second\nScore both on Colors, Places, each from 1 to 10, add up, then answer: <think>1. "
        "Colors: Answer 1 (n/10) - why; Answer 2 (n/10) - why\nTotal score:\nAnswer 1: n+n=n\n"
        "Answer 2: n+n=n</think><answer>Answer 1 is better</answer>",
    ),
    "judge/video_generation_pair": (
        JUDGED,
        "The first 3 pictures are Video 1, the other 3 are Video 2.\nCaption: Q?\nWhich "
        'video shows the caption better? Write "Video 1 is better than Video 2" or '
        '"Video 2 is better than Video 1".',
    ),
    "judge/video_generation_point": (
        JUDGED,
        "The pictures are frames of a video.\nCaption: Q?\nHow well does the video show "
        'the caption? Write "Final Score: " and a number from 1 to 10.',
    ),
    "judge/video_understanding_pair": (
        JUDGED,
        'The pictures are frames of a video. Q? Which answer is better, "Answer 1 is '
        'better" or "Answer 2 is better"? Answer 1: first Answer 2: second',
    ),
    "judge/video_understanding_point": (
        JUDGED,
        "The pictures are frames of a video. Q? Score this answer from 1 to 10, as "
        '"Final Score: " and the number: first',
    ),
    "reinforce/point": ({"label": "the red circle"}, "Point at the red circle."),
    "world/judge_point": (
        {"question": "Q?", "a": "first"},
        "Q? Score this answer from 1 to 10: first",
    ),
    "ground/read_crop": ({}, "What is written here?"),
    "reinforce/tagged_box_instructions": (
        {"width": "1000", "height": "900"},
        "Write its box as (x0,y0),(x1,y1) in integers, with x from 0 to 1000 and y from 0 to 900. "
        "Think first, then answer, exactly like this: "
        "<think>your thoughts</think><answer>(x0,y0),(x1,y1)</answer>",
    ),
    "reinforce/tagged_detections_instructions": (
        {"width": "1000", "height": "900"},
        "Write every box as [x0, y0, x1, y1] in integers, with x from 0 to 1000 and y from 0 to "
        "900, and a confidence from 0 to 1 with two decimals. If there is none, the answer is No "
        "Objects. Think first, then answer, exactly like this: <think>your thoughts</think><answer>"
        '[{"Position": [x0, y0, x1, y1], "Confidence": 0.95}, ...]</answer>',
    ),
    "ground/think_with_boxes": ({"question": "Q?"}, "Think with boxes. Q?"),
}


def test_every_prompt_renders_as_it_always_did():
    folder = Path(tasks.prompts.__file__).parent
    files = {str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.txt")}
    assert files == set(RENDERED)
    for name, (values, text) in RENDERED.items():
        assert prompt(name, **values) == text
