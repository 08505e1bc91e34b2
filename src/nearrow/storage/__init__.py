"""Storage: how do bytes reach the disk, and how are they known to be there?

directory.py   the only door to the disk (protocol)     local.py, memory.py   its implementations
log_format.py, log_writer.py, log_reader.py             records that are durable before they are acknowledged
sync_turn.py   which thread does the fsync              lock_table.py         locks within one process
manifest.py    which segments make up the collection    gc.py                 which files may go now
lock.py        who may write                            watermark.py          what the writer has made durable
published.py   are the bytes those that were written?   os_errors.py          what an errno tells the user
"""
