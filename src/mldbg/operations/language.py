"""transformers: tokenizers, models that continue a text, and what puts their batches together."""

from __future__ import annotations

ABOUT_LANGUAGE = r"[Tt]okenizer|\btransformers\b|\btok\b"
"""What a file says that has to do with tokenizers and their models."""

LOADS_TOKENIZER = r"Tokenizer(?:Fast)?\.from_pretrained\("
"""How a program loads one; the library's own files hardly do."""

TOKENIZER_LOADED = r"(?:transformers\.)\w*Tokenizer(?:Fast)?\.from_pretrained"
"""The qualified name of what loads a tokenizer, as a regular expression."""

CAUSAL_LOADED = (
    r"(?:transformers\.(?:\w*ForCausalLM|GPT2LMHeadModel|GPTNeoForCausalLM|OpenAIGPTLMHeadModel|BloomForCausalLM|XLNetLMHeadModel)"
    r"|peft\.AutoPeftModelForCausalLM|optimum\.\w+\.\w+ForCausalLM|auto_gptq\.AutoGPTQForCausalLM)\.from_(?:pretrained|quantized)"
)
"""The same of a model that continues a text from left to right."""

MODEL_LOADED = r"(?:transformers|peft)\.(?:Auto\w*Model\w*|\w+For[A-Z]\w+|\w+LMHeadModel|[A-Z]\w+Model)\.from_pretrained"
"""The same of any model with an embedding of tokens."""

ENCODER_DECODERS = (
    r"\b(?:\w*Seq2Seq\w*|\w*ForConditionalGeneration|T5\w*|Bart\w*|MBart\w*|Marian\w*|Pegasus\w*|Whisper\w*|EncoderDecoder\w*)\b"
)
"""Models that read all of a text before they write another one; padding on the right is right for them."""

LM_COLLATORS: frozenset[str] = frozenset(
    {"transformers.DataCollatorForLanguageModeling", "transformers.data.data_collator.DataCollatorForLanguageModeling"}
)
"""Makes labels of the ids of a batch, and leaves out every id that is that of the padding."""

MASKING_COLLATORS = (
    r"\bDataCollatorFor(?:LanguageModeling|Seq2Seq|CompletionOnlyLM|TokenClassification|WholeWordMask"
    r"|PermutationLanguageModeling)\b"
)
"""Collators that make labels, or pad them with what the loss leaves out."""

PAD_TOKENS: frozenset[str] = frozenset({"pad_token", "pad_token_id"})
EOS_TOKENS: frozenset[str] = frozenset({"eos_token", "eos_token_id"})

END_OF_TEXT: frozenset[str] = frozenset({"<|endoftext|>", "</s>"})
"""How the end of a text is spelled by GPT-2, and by Llama."""

WITHOUT_PADDING = r"gpt2|gpt-?neo|gpt-?j|llama|mistral|mixtral|pythia|falcon|vicuna|alpaca|mpt|codegen|dialogpt|stablelm|smollm"
"""Models of which the tokenizer has no token for the padding, by their names."""

IGNORED = r"-\s*100\b|\bignore_index\b|\bIGNORE_INDEX\b"
"""What says that the loss leaves labels out."""

PACKED = (
    r"\bpacking\s*=\s*True|\bgroup_texts\b|\bConstantLengthDataset\b|\bblock_size\b|\bpack_dataset\b"
    r"|\bDataCollatorWithFlattening\b"
)
"""What says that texts are put one behind the other, so that nothing is padded."""

KNOWN_TOKENS: frozenset[str] = frozenset(
    {"<s>", "</s>", "<unk>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|im_end|>", "<|im_start|>", "<|begin_of_text|>"}
    | {"<|finetune_right_pad_id|>", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "<mask>", "<bos>", "<eos>", "<|pad|>"}
)
"""Tokens that vocabularies have."""

WITH_PADDING = r"bert|t5|bart|electra|xlm|deberta|pegasus|mpnet|gemma|opt-|bloom"
"""Models whose vocabularies have a token for the padding, by their names."""

SPARE_ROWS = r"qwen|t5|phi-"
"""Models whose embeddings have more rows than their tokenizers have tokens, by their names."""

PADS_LEFT = r"mistral|mixtral|zephyr|bloom|glm|gemma|tinyllama"
"""Models that continue texts whose tokenizers pad on the left by themselves, by their names."""

RESIZES = r"resize_token_embeddings|len\(\s*(?:self\.)?\w*tok\w*\s*\)|setup_chat_format|\bnn\.Embedding\(|\bvocab_size\s*="
"""What says that the embedding is as large as the vocabulary."""

HARMLESS_COLLATORS: frozenset[str] = frozenset(
    {"default_data_collator", "DefaultDataCollator", "DataCollatorWithPadding", "torch_default_data_collator", "None"}
)
"""Collators that leave labels as they are."""

LEFT_OUT_OTHERWISE = r"reduction\s*=\s*[\"']none|\bSFTTrainer\b|\bloss_mask\b|\bloss_weights?\b"
"""What says that places are left out of the loss in another way."""

TRAINS = r"Trainer\b|\.backward\(|\.loss\b|\.fit\("
"""What stands in a file that trains."""
