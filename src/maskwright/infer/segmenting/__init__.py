"""How an image is seen: whole or by tiles, once or in several views, also where it is larger than memory."""
