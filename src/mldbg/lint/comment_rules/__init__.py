"""Rules about our own comments, one in each module. `suppress` finds what they report; they are on unless they are ignored."""
