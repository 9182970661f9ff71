"""The course as a whole: its index pages, the way from deck to deck, search, and the sitemap for teachers."""
