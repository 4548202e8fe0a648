"""What two models share: standardisation, front ends, blocks. One floor below the baselines."""
