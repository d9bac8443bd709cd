"""Any Hugging Face vision-language model, looked at before it is opened."""
