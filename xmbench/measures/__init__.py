"""What metrics compute: PESQ, STOI, auditory spectrograms, neighbours. No baseline can import this package."""
