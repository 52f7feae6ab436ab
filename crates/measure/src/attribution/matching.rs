//! On what an engagement and an install belong together.
