"""Integrations: how do LangChain, Haystack and LlamaIndex keep their documents in Nearrow?

langchain, haystack, llama_index    one module or package each; it needs that framework, and nothing here imports it else
metadata                            what they have in common: free-form metadata in typed columns, and filters over it
"""
