"""Analytics: what can SQL and Parquet do with the rows?"""
