"""Does a conclusion hold where the world is another than the one that policies were made in?"""
