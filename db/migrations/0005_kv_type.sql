-- How a worker keeps keys and values, by its name of common/kv_types.def; '': nobody has said.

ALTER TABLE workers ADD COLUMN kv_type TEXT NOT NULL DEFAULT '';
