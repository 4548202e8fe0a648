"""The only package that talks to the Hugging Face Hub."""
