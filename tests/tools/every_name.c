/* Linked with every archive whole: a name that two of the programs define fails here, at the link.
 * Elsewhere the linker would silently take whichever archive comes first. */
int main(void)
{
    return 0;
}
