"""Run folders and the blocks in them: whole files, or none."""
