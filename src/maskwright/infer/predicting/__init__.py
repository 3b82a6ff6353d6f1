"""Everything that people predict: photos, folders, archives, videos, cameras; and what is written of it."""
