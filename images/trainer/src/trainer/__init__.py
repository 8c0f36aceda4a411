"""The trainer image: preprocessing and train_model."""
