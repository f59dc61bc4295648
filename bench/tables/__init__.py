"""OUR-GAN's Table 2, on one's own photographs: step 1 exchanged, steps 2 and 3 the same for all rows."""
