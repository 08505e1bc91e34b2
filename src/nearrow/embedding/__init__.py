"""Embedding: how do texts become the vectors of a collection?

embedder               a function from texts to vectors, checked and cut into batches; what it is called
naming                 "model2vec/…", "fastembed/…", … → the module below that knows the library
sentence_transformers, fastembed, model2vec, openai    one library or protocol each, imported when it is first used
opening                which model belongs to this collection?
words                  search(query="what a user types")
verbs                  the verbs of a collection: embed(), reembed()
"""
