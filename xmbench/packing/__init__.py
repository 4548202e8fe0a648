"""A built data set through a narrow pipe: lossless strips of images, each distinct clip once, parts of a chosen size.

::

    PACK/pack.json                what is packed, and the sha256 of each part; written last
    PACK/part-00000.pack ...      a tar file, divided; no part is larger than the limit
"""
