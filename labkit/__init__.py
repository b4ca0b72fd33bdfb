"""labkit: learn transfer learning by doing."""
