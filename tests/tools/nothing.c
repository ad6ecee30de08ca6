/* The least a dynamic C program can do: what the start of ours is compared with. */
int main(void)
{
    return 0;
}
