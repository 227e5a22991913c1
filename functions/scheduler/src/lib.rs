//! Due occurrences become backup jobs; missed occurrences and objectives are watched.
