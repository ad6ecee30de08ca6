-- Where a model was pulled from, and what its files are known by.

ALTER TABLE models ADD COLUMN source TEXT NOT NULL DEFAULT '';
-- A JSON array of {"file", "size_bytes", "sha256"}; '[]': nothing is known.
ALTER TABLE models ADD COLUMN files TEXT NOT NULL DEFAULT '[]';
-- The sums are what the repository says, not only what was found on the disk.
ALTER TABLE models ADD COLUMN is_published INTEGER NOT NULL DEFAULT 0 CHECK (is_published IN (0, 1));
