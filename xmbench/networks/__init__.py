"""Code that several models share: standardisation, front ends, blocks. One layer below the baselines."""
