"""What a checkpoint is: layouts, populations on disk and in memory, symmetries."""
