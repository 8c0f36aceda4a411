"""What training and inference share about models: signature, prediction, compatibility, the quality gate."""
