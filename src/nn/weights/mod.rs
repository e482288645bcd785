//! Weight files: timm-named safetensors in and out, and where they are looked for.
