"""Query: what is asked, how is it planned, and how is it answered?"""
