"""Training by gradient, of adapters or all weights; imports embedding and backbones."""
