"""The pages. Each module defines PAGE, and shows it when Streamlit runs the file."""
