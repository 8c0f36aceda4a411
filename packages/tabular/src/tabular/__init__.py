"""Tables of users and between steps. Needs pyarrow and pandas, which only the step images have."""
