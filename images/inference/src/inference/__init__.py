"""The inference image: generate_inf_data, preprocess_inf_data and model_inference."""
